-- What "why is it not patched yet?" and watching zero-days look things up by.
CREATE INDEX plan_endpoint_endpoint ON plan_endpoint (endpoint_id);
CREATE INDEX scan_received ON scan (received_at);
