-- What fixes are and do is read out of their scripts when a checklist is made. A release that reads them better reads those of earlier
-- checklists anew (worker/baseline-duty.ts): their rules and values stay, what can be put right, and how, is as of now.
ALTER TABLE checklist ADD COLUMN fixes_read int NOT NULL DEFAULT 0;   -- FIXES_READ of the release that read them (domain/baseline/checklist.ts)
CREATE INDEX checklist_fixes_read ON checklist (fixes_read);
