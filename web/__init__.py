"""The memory in a browser: Datasette over the database, and pages for what tables do not show. It never writes."""
