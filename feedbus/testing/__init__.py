"""Fakes for tests of feedbus and of programs built on it. They open no sockets, and take the time from trio's clock."""
