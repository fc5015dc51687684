"""Experiments and studies: functions that return them, in one module for each family of data.

A definition is a public function without parameters. Its docstring says the command, the device,
the minutes and the number to expect.
"""
