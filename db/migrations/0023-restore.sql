-- After a restore from a backup, hosts are ahead of us: an order that was open at the time of the backup may have been let out,
-- permitted, begun and finished since. Until a host has been heard, its row says so (docs/backup.md).
ALTER TABLE order_state ADD COLUMN restored_at timestamptz;
