CREATE TABLE public.about (
    schema_version integer NOT NULL,
    store_id text NOT NULL,
    clock_offset bigint
);
CREATE TABLE public.attempt (
    delivery_id bigint NOT NULL,
    n integer NOT NULL,
    at bigint NOT NULL,
    outcome text NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    milliseconds integer NOT NULL
);
CREATE TABLE public.counter (
    name text NOT NULL,
    shard integer NOT NULL,
    count bigint NOT NULL
);
CREATE TABLE public.delivery (
    id bigint NOT NULL,
    transition_seq bigint NOT NULL,
    handler text NOT NULL,
    channel text NOT NULL,
    status text NOT NULL,
    reason text NOT NULL,
    due_at bigint NOT NULL,
    attempts integer NOT NULL,
    forgiven integer NOT NULL,
    title text NOT NULL,
    body text NOT NULL,
    format text NOT NULL,
    severity text NOT NULL,
    required boolean NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    give_up_at bigint NOT NULL,
    give_up_after bigint NOT NULL,
    owner bigint,
    fallback_of bigint
);
CREATE SEQUENCE public.gateway_id
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE TABLE public.ledger (
    handler text NOT NULL,
    channel text NOT NULL,
    account text NOT NULL,
    shard integer NOT NULL,
    count bigint NOT NULL
);
CREATE TABLE public.node (
    id bigint NOT NULL,
    pid integer NOT NULL,
    started_at bigint NOT NULL,
    heartbeat_at bigint NOT NULL,
    beats integer NOT NULL,
    config_hash text NOT NULL
);
CREATE TABLE public.rate (
    channel text NOT NULL,
    granted text NOT NULL
);
CREATE TABLE public.transition (
    seq bigint NOT NULL,
    id text NOT NULL,
    occurred_at bigint NOT NULL,
    received_at bigint NOT NULL,
    source text NOT NULL,
    kind text NOT NULL,
    obj_name text NOT NULL,
    flow_name text NOT NULL,
    run_id text NOT NULL,
    old_type text,
    new_type text NOT NULL,
    payload text NOT NULL,
    matched boolean DEFAULT true NOT NULL
);
INSERT INTO public.about VALUES (2, '255ed780', NULL);
INSERT INTO public.attempt VALUES (66, 1, 1795814028682, 'delivered', 'ok', '', 0);
INSERT INTO public.attempt VALUES (67, 1, 1795814028683, 'temporary', 'refused', 'ConnectionRefusedError: [Errno 111] Connection refused', 2);
INSERT INTO public.attempt VALUES (69, 1, 1795814028697, 'delivered', 'ok', '', 0);
INSERT INTO public.attempt VALUES (70, 1, 1795814028697, 'temporary', 'refused', 'ConnectionRefusedError: [Errno 111] Connection refused', 1);
INSERT INTO public.attempt VALUES (72, 1, 1795814028710, 'delivered', 'ok', '', 1);
INSERT INTO public.attempt VALUES (73, 1, 1795814028710, 'temporary', 'refused', 'ConnectionRefusedError: [Errno 111] Connection refused', 2);
INSERT INTO public.attempt VALUES (70, 2, 1795814029366, 'temporary', 'refused', 'ConnectionRefusedError: [Errno 111] Connection refused', 1);
INSERT INTO public.attempt VALUES (73, 2, 1795814029822, 'temporary', 'refused', 'ConnectionRefusedError: [Errno 111] Connection refused', 1);
INSERT INTO public.counter VALUES ('transitions', 0, 4);
INSERT INTO public.counter VALUES ('unmatched', 0, 1);
INSERT INTO public.delivery VALUES (66, 65, 'failed', 'screen', 'delivered', 'ok', 1795814028682, 1, 0, 'it''s 0: Failed', 'Task it''s 0 went from Running to Failed: broke', 'text', 'failure', false, 1795814028667, 1795814028682, 1795900428667, 86400000, NULL, NULL);
INSERT INTO public.delivery VALUES (69, 68, 'failed', 'screen', 'delivered', 'ok', 1795814028697, 1, 0, 'it''s 1: Failed', 'Task it''s 1 went from Running to Failed: broke', 'text', 'failure', false, 1795814028683, 1795814028697, 1795900428683, 86400000, NULL, NULL);
INSERT INTO public.delivery VALUES (72, 71, 'failed', 'screen', 'delivered', 'ok', 1795814028711, 1, 0, 'it''s 2: Failed', 'Task it''s 2 went from Running to Failed: broke', 'text', 'failure', false, 1795814028697, 1795814028711, 1795900428697, 86400000, NULL, NULL);
INSERT INTO public.delivery VALUES (70, 68, 'failed', 'away', 'pending', 'refused', 1795814032484, 2, 0, 'it''s 1: Failed', 'Task it''s 1 went from Running to Failed: broke', 'text', 'failure', false, 1795814028683, 1795814029367, 1795900428683, 86400000, NULL, NULL);
INSERT INTO public.delivery VALUES (73, 71, 'failed', 'away', 'pending', 'refused', 1795814031436, 2, 0, 'it''s 2: Failed', 'Task it''s 2 went from Running to Failed: broke', 'text', 'failure', false, 1795814028697, 1795814029823, 1795900428697, 86400000, NULL, NULL);
INSERT INTO public.delivery VALUES (67, 65, 'failed', 'away', 'cancelled', 'cancelled', 1795814030611, 1, 0, 'it''s 0: Failed', 'Task it''s 0 went from Running to Failed: broke', 'text', 'failure', false, 1795814028667, 1795814032794, 1795900428667, 86400000, NULL, NULL);
INSERT INTO public.ledger VALUES ('failed', 'away', 'accepted', 0, 3);
INSERT INTO public.ledger VALUES ('failed', 'screen', 'accepted', 0, 3);
INSERT INTO public.ledger VALUES ('failed', 'screen', 'delivered', 0, 3);
INSERT INTO public.ledger VALUES ('failed', 'screen', 'owed', 0, 0);
INSERT INTO public.ledger VALUES ('failed', 'away', 'cancelled', 0, 1);
INSERT INTO public.ledger VALUES ('failed', 'away', 'owed', 0, 2);
INSERT INTO public.transition VALUES (65, '01a21edb757b719eb2c4d77555298609', 1795814028667, 1795814028667, 'local', 'task', 'it''s 0', '', '', 'Running', 'Failed', '{"id":"01a21edb757b719eb2c4d77555298609","source":"local","occurred_at":"2026-11-27T21:13:48.667024+00:00","obj":{"kind":"task","name":"it''s 0","run_name":"it''s 0","flow":{"name":""}},"old_state":{"type":"Running","timestamp":"2026-11-27T21:13:48.666921+00:00","final":null,"result":null},"new_state":{"type":"Failed","timestamp":"2026-11-27T21:13:48.666928+00:00","final":true,"result":null,"message":"broke"}}', true);
INSERT INTO public.transition VALUES (68, '01a21edb758b7df7a22289ffa065f25c', 1795814028683, 1795814028683, 'local', 'task', 'it''s 1', '', '', 'Running', 'Failed', '{"id":"01a21edb758b7df7a22289ffa065f25c","source":"local","occurred_at":"2026-11-27T21:13:48.683277+00:00","obj":{"kind":"task","name":"it''s 1","run_name":"it''s 1","flow":{"name":""}},"old_state":{"type":"Running","timestamp":"2026-11-27T21:13:48.683200+00:00","final":null,"result":null},"new_state":{"type":"Failed","timestamp":"2026-11-27T21:13:48.683206+00:00","final":true,"result":null,"message":"broke"}}', true);
INSERT INTO public.transition VALUES (71, '01a21edb75987df4b428928e6d48bd2d', 1795814028697, 1795814028697, 'local', 'task', 'it''s 2', '', '', 'Running', 'Failed', '{"id":"01a21edb75987df4b428928e6d48bd2d","source":"local","occurred_at":"2026-11-27T21:13:48.697127+00:00","obj":{"kind":"task","name":"it''s 2","run_name":"it''s 2","flow":{"name":""}},"old_state":{"type":"Running","timestamp":"2026-11-27T21:13:48.696851+00:00","final":null,"result":null},"new_state":{"type":"Failed","timestamp":"2026-11-27T21:13:48.696856+00:00","final":true,"result":null,"message":"broke"}}', true);
SELECT pg_catalog.setval('public.gateway_id', 137, true);
ALTER TABLE ONLY public.attempt
    ADD CONSTRAINT attempt_pkey PRIMARY KEY (delivery_id, n);
ALTER TABLE ONLY public.counter
    ADD CONSTRAINT counter_pkey PRIMARY KEY (name, shard);
ALTER TABLE ONLY public.delivery
    ADD CONSTRAINT delivery_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.ledger
    ADD CONSTRAINT ledger_pkey PRIMARY KEY (handler, channel, account, shard);
ALTER TABLE ONLY public.node
    ADD CONSTRAINT node_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.rate
    ADD CONSTRAINT rate_pkey PRIMARY KEY (channel);
ALTER TABLE ONLY public.transition
    ADD CONSTRAINT transition_id_key UNIQUE (id);
ALTER TABLE ONLY public.transition
    ADD CONSTRAINT transition_pkey PRIMARY KEY (seq);
CREATE INDEX delivery_claimed ON public.delivery USING btree (owner) WHERE (status = 'claimed'::text);
CREATE INDEX delivery_dead ON public.delivery USING btree (id) WHERE (status = 'dead'::text);
CREATE INDEX delivery_due ON public.delivery USING btree (channel, due_at) WHERE (status = 'pending'::text);
CREATE INDEX delivery_ended ON public.delivery USING btree (updated_at) WHERE (status = ANY (ARRAY['delivered'::text, 'suppressed'::text, 'dead'::text, 'cancelled'::text]));
CREATE INDEX delivery_give_up ON public.delivery USING btree (give_up_at) WHERE (status = 'pending'::text);
CREATE INDEX delivery_of_channel ON public.delivery USING btree (channel, id);
CREATE INDEX delivery_of_handler ON public.delivery USING btree (handler, id);
CREATE INDEX delivery_of_transition ON public.delivery USING btree (transition_seq);
CREATE INDEX delivery_owed ON public.delivery USING btree (id) WHERE (status = ANY (ARRAY['pending'::text, 'claimed'::text]));
CREATE INDEX transition_unmatched ON public.transition USING btree (received_at) WHERE (matched = false);
ALTER TABLE ONLY public.attempt
    ADD CONSTRAINT attempt_delivery_id_fkey FOREIGN KEY (delivery_id) REFERENCES public.delivery(id);
ALTER TABLE ONLY public.delivery
    ADD CONSTRAINT delivery_transition_seq_fkey FOREIGN KEY (transition_seq) REFERENCES public.transition(seq);
