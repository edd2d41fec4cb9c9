"""Runs that no queue started: the one door for journals, clients and files of other tools."""
