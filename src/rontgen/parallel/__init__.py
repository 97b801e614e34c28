"""Stale stages rebuilt several at a time, on this machine or on others."""
