def test_a_shipped_model_answers(main, tmp_path):
    call, answer, picture = (tmp_path / name for name in ("call.csv", "answer.csv", "both.png"))
    call.write_text(
        "time,x,y,z,moving\n0.005213, 0.711230, 0.070856, 25.524292, 0\n0.1, 0.72, 0.08, 25.5, 1\n"
    )
    arguments = ("respond", "robojam", call, "--out", answer, "--seed", 1, "--picture", picture)
    code, out, err = main(*arguments)
    assert code == 0, err
    assert out.startswith("Wrote 1 answer, ")
    lines = answer.read_text().splitlines()
    assert lines[0] == "time,x,y,z,moving"
    assert float(lines[-1].split(",")[0]) <= 5
    assert picture.stat().st_size > 10_000
    code, out, err = main(*arguments)
    assert (code, err) == (2, f"mixtura: {answer} exists; name another output or give --overwrite.\n")
