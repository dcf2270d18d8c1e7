"""The description of the API is complete and true."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openapi_spec_validator
import pytest

from tests.web.conftest import asking
from tests.web.test_permissions import ROUTES, filled
from whosin.web import questions, schemas
from whosin.web.examples import EXAMPLES
from whosin.web.guard import BASE

if TYPE_CHECKING:
    import httpx

    from whosin.web.server import HttpServer


@pytest.fixture
async def document(server: HttpServer) -> dict[str, Any]:
    async with asking(server) as client:
        response = await client.get(f"{BASE}/openapi.json")
    assert response.headers["content-type"] == "application/json"
    found: dict[str, Any] = response.json()
    return found


def operations_in(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(item) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(references(item) for item in value))
    return set()


def test_it_lists_every_route_and_no_other(document: dict[str, Any]) -> None:
    expected = {(method, BASE + path) for method, path in ROUTES}
    expected |= {("POST", f"{BASE}/sign-in"), ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics")}
    found = {(method, filled(path)) for method, path in operations_in(document)}
    assert found == expected


def test_every_route_tells_its_role_its_refusals_and_the_shape_of_its_answer(
    document: dict[str, Any],
) -> None:
    for (method, path), operation in operations_in(document).items():
        assert operation["summary"], path
        assert operation["tags"], path
        responses = operation["responses"]
        assert "422" not in responses
        good = next(response for status, response in responses.items() if status.startswith("2"))
        assert good.get("content") or "204" in responses, path
        for content in good.get("content", {}).values():
            assert content["schema"], path
        if path == f"{BASE}/sign-in":
            assert "security" not in operation
        elif path.startswith(BASE):
            role = ROUTES[method, filled(path.removeprefix(BASE))][0]
            assert operation["x-role"] == role
            assert f"Needs the role **{role}**" in operation["description"]
            by_cookie = {"cookie": []} if method == "GET" else {"cookie": [], "csrf": []}
            assert operation["security"] == [{"bearer": []}, by_cookie]
            for status in ("400", "401", "403", "429", "503"):
                schema = responses[status]["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ProblemDetails"}


def test_every_reference_leads_somewhere_and_every_schema_is_used(document: dict[str, Any]) -> None:
    used = references(document)
    assert used == {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for operation in operations_in(document).values()]
    assert len(ids) == len(set(ids))
    assert document["openapi"].startswith("3.1")
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_it_is_valid_openapi(document: dict[str, Any]) -> None:
    openapi_spec_validator.validate(document)


def test_every_command_and_every_answer_has_an_example_that_is_one(document: dict[str, Any]) -> None:
    given = set()
    for operation in operations_in(document).values():
        for part in (operation.get("requestBody", {}), *operation["responses"].values()):
            given |= references({name: item["schema"] for name, item in part.get("content", {}).items()})
    assert {name.rpartition("/")[2] for name in given} == set(EXAMPLES)
    for name, example in EXAMPLES.items():
        assert document["components"]["schemas"][name]["examples"] == [example]
        model = getattr(schemas, name, None) or getattr(questions, name)
        model.model_validate(example, extra="forbid")


async def test_it_is_the_same_each_time(ask: httpx.AsyncClient) -> None:
    first = await ask.get(f"{BASE}/openapi.json")
    assert (await ask.get(f"{BASE}/openapi.json")).content == first.content
