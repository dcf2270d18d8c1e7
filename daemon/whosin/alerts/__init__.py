"""Event to message to people (rule 18): what is worth an alert, who gets it, how it gets there.

`kinds` is the table of what there are alerts about; `conditions` groups and re-arms; `watch` looks at the
engine; `messages` words; `routing` and `targets` are the channels; `delivery` tries until it is taken;
`office` is the department that puts them together.
"""
