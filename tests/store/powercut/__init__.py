"""A power cut at any write: what a program does to files is recorded, and each state that a disk may be left
in is opened by the store."""
