"""What the typed API answers, over HTTP."""

import csv
import io
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

import mixtura
from mixtura.studio import Limits

TYPED, OLD = "/api/v1/respond", "/api/predict"


def table(text):
    rows = list(csv.DictReader(io.StringIO(text)))
    return [{name: float(value) for name, value in row.items()} for row in rows]


def test_health_names_version_and_model(client):
    response = client.get("/health")
    assert response.status_code == 200
    assert response.json() == {"status": "ok", "version": mixtura.__version__, "model": "tiny"}


def test_an_answer_in_both_forms(client, responder, call):
    response = client.post(TYPED, json={"csv": call, "count": 2, "duration": 0.4})
    assert response.status_code == 200
    found = response.json()
    assert found["model"]["name"] == "tiny"
    assert found["model"]["parameters"] == responder.model.count_params()
    assert len(found["answers"]) == 2
    for answer in found["answers"]:
        assert answer["touches"] == table(answer["csv"])
        times = [touch["time"] for touch in answer["touches"]]
        assert times == sorted(times)
        assert times[-1] <= 0.4
        assert answer["touches"][0]["moving"] == 0
        assert {touch["moving"] for touch in answer["touches"]} <= {0, 1}
        assert all(0 <= touch[axis] <= 1 for touch in answer["touches"] for axis in "xy")


def test_a_seed_repeats_answers_and_one_is_drawn_where_none_is_given(client, call):
    first = client.post(TYPED, json={"csv": call, "duration": 0.5}).json()
    again = client.post(TYPED, json={"csv": call, "duration": 0.5, "seed": first["seed"]}).json()
    other = client.post(TYPED, json={"csv": call, "duration": 0.5}).json()
    assert again == first
    assert other["seed"] != first["seed"]
    assert other["answers"] != first["answers"]
    both = client.post(TYPED, json={"csv": call, "duration": 0.5, "seed": first["seed"], "count": 2}).json()
    one, same = (found["answers"][0]["touches"][0] for found in (first, both))
    assert same == pytest.approx(one, abs=1e-4)  # but for the rounding of larger matrix products


def test_touches_are_the_same_call_as_their_csv(client, call):
    touches = [{**row, "moving": int(row["moving"])} for row in table(call)]
    bare = [{name: touch[name] for name in ("time", "x", "y")} for touch in touches]
    found = [
        client.post(TYPED, json={"seed": 1, "duration": 0.3, **question}).json()["answers"]
        for question in ({"csv": call}, {"touches": touches}, {"touches": bare})
    ]
    assert found[0] == found[1]
    assert found[0] == found[2]  # the rule of thumb says of these touches what the app said


def test_temperatures(client, call):
    def answers(**settings):
        response = client.post(TYPED, json={"csv": call, "seed": 1, "duration": 0.3, **settings})
        assert response.status_code == 200, response.text
        return response.json()["answers"]

    plain = answers()
    assert answers(temperature=1) == plain
    assert answers(weights=1, scale=1) == plain
    assert answers(temperature=0.25) != plain
    assert answers(scale=0.5) != plain
    assert answers(temperature=0) == answers(temperature=0)


def test_nothing_is_compiled_once_the_server_has_started(client, limits, call):
    import jax

    durations = []

    def listen(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            durations.append(duration)

    header, *rows = call.splitlines()
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        for length in (1, 31, 32, 33, limits.events):
            text = "\n".join([header, *rows[:1] * length])
            for count in (1, 2, 3, limits.count):
                for duration in (0.1, limits.duration):
                    question = {
                        "csv": text,
                        "count": count,
                        "duration": duration,
                        "temperature": duration / 10,
                    }
                    assert client.post(TYPED, json=question).status_code == 200
        assert client.post(OLD, json={"perf": call}).status_code == 200
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert durations == []


def test_many_at_once(client, address, call):
    def ask(seed):
        with httpx.Client(base_url=address, timeout=60) as own:
            return own.post(TYPED, json={"csv": call, "seed": seed, "duration": 0.5}).json()["answers"]

    alone = [ask(seed) for seed in range(3)]
    with ThreadPoolExecutor(20) as threads:
        found = list(threads.map(ask, [seed % 3 for seed in range(20)]))
    assert found == [alone[seed % 3] for seed in range(20)]


@pytest.mark.parametrize("path", [TYPED, OLD, "/health", "/nowhere"])
def test_every_page_may_ask(client, path):
    origin = {"Origin": "https://example.org"}
    assert client.post(path, headers=origin).headers["access-control-allow-origin"] == "*"
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    preflight = client.options(path, headers=origin | asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "*"


def test_limits_are_positive():
    with pytest.raises(ValueError, match="waiting must be positive; received 0"):
        Limits(waiting=0)
