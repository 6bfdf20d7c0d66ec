-- Baselines that are enforced by themselves, and subsets that are a step ahead compared with the rest.
ALTER TABLE baseline_assignment ADD COLUMN enforcement jsonb; -- domain/baseline/enforcement.ts: how a change is made; null: none is
ALTER TABLE assessment_target ADD COLUMN in_trial boolean NOT NULL DEFAULT false;
