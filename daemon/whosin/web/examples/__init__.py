"""One example of each command and answer, for the description of the API: a module for each subject.

Tests hold them to the models.
"""

from typing import Any

from whosin.web.examples import alerts, basics, guidance, maintenance, operators

EXAMPLES: dict[str, dict[str, Any]] = {
    **basics.EXAMPLES,
    **guidance.EXAMPLES,
    **operators.EXAMPLES,
    **alerts.EXAMPLES,
    **maintenance.EXAMPLES,
}
