"""Queries and mutations for the dashboard and GraphiQL, with fixed data."""

from datetime import datetime, timedelta

from graphql import build_schema, introspection_from_schema

from tests.snippet.server import Json

SCHEMA = """
type Query { me: User }
type User { fullName: String }
type Session { token: String! }
input LogInInput { email: String!, password: String! }
type Mutation { logIn(input: LogInInput!): Session! }
type Claim { id: ID!, cursor: String!, text: String!, url: String, occurredAt: String! }
type Subscription { liveNotifications(siteKey: String!, after: String): Claim! }
"""

EXAMPLE_PASSWORD = "a long password"
"""The password of GraphiQL's example LogIn."""


class GraphQLApi:
    """Answers one user with one site. Only the current `token` is valid."""

    def __init__(self) -> None:
        self.token = "good"
        self.queries: list[str] = []
        """The documents that came with a valid token."""

    def __call__(self, body: Json, token: str | None) -> Json:
        query = body["query"]
        if "IntrospectionQuery" in query:
            return {"data": introspection_from_schema(build_schema(SCHEMA))}
        if "LogIn" in query:
            if body["variables"]["input"]["password"] not in ("right", EXAMPLE_PASSWORD):
                return _unauthenticated("E-mail or password is wrong.")
            return {"data": {"logIn": {"token": self.token, "user": {"fullName": "Anna"}}}}
        if token != self.token:
            return _unauthenticated("The session has ended.")
        self.queries.append(query)
        if "analytics" in query:
            return {"data": {"site": {"name": "Berg", "analytics": _analytics(body)}}}
        site = {"id": "s1", "name": "Berg", "domain": "berg.example", "siteKey": "pk_test"}
        return {"data": {"sites": {"edges": [{"node": site}]}, "me": {"fullName": "Anna"}}}


def _unauthenticated(message: str) -> Json:
    error = {"message": message, "extensions": {"code": "UNAUTHENTICATED"}}
    return {"data": None, "errors": [error]}


def _analytics(body: Json) -> Json:
    start = datetime.fromisoformat(body["variables"]["start"])
    return {
        "totals": {"orders": 5, "published": 4, "shown": 3, "clicked": 0, "dismissed": 1},
        "points": [
            _point(start + timedelta(hours=4), published=4, shown=3),
            _point(start + timedelta(hours=5), published=2, shown=1),
        ],
    }


def _point(start: datetime, *, published: int, shown: int) -> Json:
    counters = {"published": published, "shown": shown, "clicked": 0}
    return {"start": start.isoformat(), "counters": counters}
