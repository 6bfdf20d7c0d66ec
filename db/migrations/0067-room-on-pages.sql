-- Rows of these are written again within seconds of each other: with room on their page they need no new entry in any index.
ALTER TABLE update_fact SET (fillfactor = 50);
ALTER TABLE installed_package SET (fillfactor = 85);
