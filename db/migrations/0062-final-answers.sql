-- What can't be done for a checklist or a copy of full results is said, in place of being tried for ever.
ALTER TABLE checklist ADD COLUMN fixes_problem text;        -- why this release could not read its fixes anew; they are as an earlier one read them
ALTER TABLE arf_copy
  ADD COLUMN expected_sha256 text,                          -- as recorded at the scan that was newest when it was asked for
  ADD COLUMN problem text;                                  -- why what came was not kept
