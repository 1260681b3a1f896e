"""Run rocrate-validator on a folder, as a process. Contexts may lie in a folder, where there is no network."""

from __future__ import annotations

import sys
from pathlib import Path

import requests
from rocrate_validator import models, services

CONTEXTS = {
    "https://w3id.org/ro/crate/1.1/context": "ro-crate-1.1.jsonld",
    "https://w3id.org/ro/terms/workflow-run/context": "workflow-run.jsonld",
}
_over_the_network = requests.Session.request


def _request(self: requests.Session, method: str, url: str, **options: object) -> requests.Response:
    local = Path(sys.argv[2], CONTEXTS.get(url, "none"))
    if not local.is_file():
        return _over_the_network(self, method, url, **options)  # type: ignore[arg-type]
    response = requests.Response()
    response.status_code, response.url, response._content = 200, url, local.read_bytes()
    response.headers["Content-Type"] = "application/ld+json"
    return response


if __name__ == "__main__":
    requests.Session.request = _request  # type: ignore[method-assign, assignment]
    settings = services.ValidationSettings(
        rocrate_uri=sys.argv[1],
        profile_identifier="provenance-run-crate",
        requirement_severity=models.Severity.REQUIRED,
        no_cache=True,
    )
    issues = services.validate(settings).get_issues()
    for issue in issues:
        print(issue.check.identifier, issue.message, issue.violatingEntity)
    sys.exit(1 if issues else 0)
