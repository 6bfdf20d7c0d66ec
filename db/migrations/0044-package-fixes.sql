-- Fixes of rules that do nothing but install or remove one package (docs/baselines.md): the agent carries those out by its own rules for
-- packages, and agents that can't are left alone. Checklists made before keep declining them until their next version or tailoring.
ALTER TABLE checklist_rule ADD COLUMN package_fix jsonb;   -- {action: install | remove, name}; null: its fix is a script, or there is none
