"""The options of each command, without anything that computes: a help or a refusal is quick."""
