"""`whosin doctor`: finds the usual problems of an installation, each with what to do.

Owns the questions, one small function each, and their order. Must not know how findings are shown, nor mend
anything: it looks, and leaves all as it was.
"""

from whosin.doctor.examination import examine
from whosin.doctor.findings import Finding, Level

__all__ = ["Finding", "Level", "examine"]
