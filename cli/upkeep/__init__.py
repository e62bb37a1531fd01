"""Commands that look after a database and the installation."""
