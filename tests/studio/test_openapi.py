"""The document and the application agree, as Schemathesis finds by asking."""

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.config import SchemathesisConfig

# A call that fits the schema can still run backwards in time, or be no CSV.
CONFIG = SchemathesisConfig.from_dict(
    {"checks": {"positive_data_acceptance": {"expected-statuses": [200, 422]}}}
)


OPERATIONS = [("/health", "GET"), ("/api/v1/respond", "POST"), ("/api/predict", "POST")]


@pytest.fixture(scope="module")
def document(address):
    return schemathesis.openapi.from_url(f"{address}/openapi.json", config=CONFIG)


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_the_application_does_what_its_document_says(document, path, method, mode):
    if path == "/health" and mode is schemathesis.GenerationMode.NEGATIVE:
        pytest.skip("it takes nothing that could be wrong")

    # Its own pytest plugin would do this, and more slowly.
    @settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=document[path][method].as_strategy(generation_mode=mode))
    def ask(case):
        case.call_and_validate()

    ask()


def test_every_route_and_refusal_is_described(address):
    found = httpx.get(f"{address}/openapi.json").json()
    assert set(found["paths"]) == {path for path, _ in OPERATIONS}
    for path in ("/api/v1/respond", "/api/predict"):
        responses = found["paths"][path]["post"]["responses"]
        assert set(responses) == {"200", "400", "413", "415", "422", "500", "503"}
        assert "Retry-After" in responses["503"]["headers"]
    question = found["components"]["schemas"]["Question"]
    assert question["properties"]["count"]["maximum"] == 4
    assert question["properties"]["duration"]["maximum"] == 30
    assert question["properties"]["touches"]["maxItems"] == 40
    assert httpx.get(f"{address}/docs").status_code == 200
