"""Fakes for tests of feedbus and of programs built on it: no sockets, no clock of their own."""
