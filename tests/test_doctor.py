from mixtura import backend, doctor


def test_findings_name_backend_devices_versions_and_caches(tmp_path, monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    (tmp_path / "jax").mkdir()
    (tmp_path / "jax" / "program").write_bytes(b"x" * 200_000)
    found = dict(doctor.findings(tmp_path))
    assert found["backend"] == f"{backend.chosen.name}: {backend.chosen.reason}"
    assert "processors" in found["devices"]
    assert found["compiled programs"] == f"{tmp_path / 'jax'} (1 files, 0.2 MB)"
    assert found["keras"].startswith("3.")


def test_a_broken_backend_is_a_finding(tmp_path, monkeypatch):
    def broken():
        raise RuntimeError("no such device")

    monkeypatch.setattr("keras.distribution.list_devices", broken)
    assert "no such device" in dict(doctor.findings(tmp_path))["devices"]
