-- A person may ask for the remediation that a notice rule did not ask for: the incident then names it.
GRANT UPDATE (change_id) ON incident TO ringmaster_api;
