"""The dashboard: pages of this server, on the services that the API also uses."""
