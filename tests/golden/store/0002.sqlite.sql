BEGIN TRANSACTION;
CREATE TABLE about (
	schema_version INTEGER NOT NULL, 
	store_id TEXT NOT NULL, 
	clock_offset BIGINT
);
INSERT INTO "about" VALUES(2,'1d10d290',NULL);
CREATE TABLE attempt (
	delivery_id INTEGER NOT NULL, 
	n INTEGER NOT NULL, 
	at BIGINT NOT NULL, 
	outcome TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	detail TEXT NOT NULL, 
	milliseconds INTEGER NOT NULL, 
	PRIMARY KEY (delivery_id, n), 
	FOREIGN KEY(delivery_id) REFERENCES delivery (id)
)
 WITHOUT ROWID

;
INSERT INTO "attempt" VALUES(3,1,1795813972584,'delivered','ok','',0);
INSERT INTO "attempt" VALUES(4,1,1795813972587,'temporary','refused','ConnectionRefusedError: [Errno 111] Connection refused',1);
INSERT INTO "attempt" VALUES(4,2,1795813973376,'temporary','refused','ConnectionRefusedError: [Errno 111] Connection refused',1);
INSERT INTO "attempt" VALUES(6,1,1795813972596,'delivered','ok','',0);
INSERT INTO "attempt" VALUES(7,1,1795813972596,'temporary','refused','ConnectionRefusedError: [Errno 111] Connection refused',1);
INSERT INTO "attempt" VALUES(9,1,1795813972605,'delivered','ok','',1);
INSERT INTO "attempt" VALUES(10,1,1795813972604,'temporary','refused','ConnectionRefusedError: [Errno 111] Connection refused',1);
INSERT INTO "attempt" VALUES(10,2,1795813972887,'temporary','refused','ConnectionRefusedError: [Errno 111] Connection refused',1);
CREATE TABLE counter (
	name TEXT NOT NULL, 
	shard INTEGER NOT NULL, 
	count INTEGER NOT NULL, 
	PRIMARY KEY (name, shard)
)
 WITHOUT ROWID

;
INSERT INTO "counter" VALUES('transitions',0,4);
INSERT INTO "counter" VALUES('unmatched',0,1);
CREATE TABLE delivery (
	id INTEGER NOT NULL, 
	transition_seq INTEGER NOT NULL, 
	handler TEXT NOT NULL, 
	channel TEXT NOT NULL, 
	status TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	due_at BIGINT NOT NULL, 
	attempts INTEGER NOT NULL, 
	forgiven INTEGER NOT NULL, 
	title TEXT NOT NULL, 
	body TEXT NOT NULL, 
	format TEXT NOT NULL, 
	severity TEXT NOT NULL, 
	required BOOLEAN NOT NULL, 
	created_at BIGINT NOT NULL, 
	updated_at BIGINT NOT NULL, 
	give_up_at BIGINT NOT NULL, 
	give_up_after BIGINT NOT NULL, 
	owner INTEGER, 
	fallback_of INTEGER, 
	PRIMARY KEY (id), 
	FOREIGN KEY(transition_seq) REFERENCES transition (seq)
);
INSERT INTO "delivery" VALUES(3,2,'failed','screen','delivered','ok',1795813972585,1,0,'it''s 0: Failed','Task it''s 0 went from Running to Failed: broke','text','failure',0,1795813972577,1795813972585,1795900372577,86400000,NULL,NULL);
INSERT INTO "delivery" VALUES(4,2,'failed','away','pending','refused',1795813975370,2,0,'it''s 0: Failed','Task it''s 0 went from Running to Failed: broke','text','failure',0,1795813972577,1795813973377,1795900372577,86400000,NULL,NULL);
INSERT INTO "delivery" VALUES(6,5,'failed','screen','delivered','ok',1795813972596,1,0,'it''s 1: Failed','Task it''s 1 went from Running to Failed: broke','text','failure',0,1795813972587,1795813972596,1795900372587,86400000,NULL,NULL);
INSERT INTO "delivery" VALUES(7,5,'failed','away','cancelled','cancelled',1795813973968,1,0,'it''s 1: Failed','Task it''s 1 went from Running to Failed: broke','text','failure',0,1795813972587,1795814013476,1795900372587,86400000,NULL,NULL);
INSERT INTO "delivery" VALUES(9,8,'failed','screen','delivered','ok',1795813972605,1,0,'it''s 2: Failed','Task it''s 2 went from Running to Failed: broke','text','failure',0,1795813972596,1795813972605,1795900372596,86400000,NULL,NULL);
INSERT INTO "delivery" VALUES(10,8,'failed','away','pending','refused',1795813976578,2,0,'it''s 2: Failed','Task it''s 2 went from Running to Failed: broke','text','failure',0,1795813972596,1795813972888,1795900372596,86400000,NULL,NULL);
CREATE TABLE ledger (
	handler TEXT NOT NULL, 
	channel TEXT NOT NULL, 
	account TEXT NOT NULL, 
	shard INTEGER NOT NULL, 
	count INTEGER NOT NULL, 
	PRIMARY KEY (handler, channel, account, shard)
)
 WITHOUT ROWID

;
INSERT INTO "ledger" VALUES('failed','away','accepted',0,3);
INSERT INTO "ledger" VALUES('failed','away','cancelled',0,1);
INSERT INTO "ledger" VALUES('failed','away','owed',0,2);
INSERT INTO "ledger" VALUES('failed','screen','accepted',0,3);
INSERT INTO "ledger" VALUES('failed','screen','delivered',0,3);
INSERT INTO "ledger" VALUES('failed','screen','owed',0,0);
CREATE TABLE node (
	id INTEGER NOT NULL, 
	pid INTEGER NOT NULL, 
	started_at BIGINT NOT NULL, 
	heartbeat_at BIGINT NOT NULL, 
	beats INTEGER NOT NULL, 
	config_hash TEXT NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE rate (
	channel TEXT NOT NULL, 
	granted TEXT NOT NULL, 
	PRIMARY KEY (channel)
)
 WITHOUT ROWID

;
CREATE TABLE sequence (
	last INTEGER NOT NULL
);
INSERT INTO "sequence" VALUES(11);
CREATE TABLE transition (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	occurred_at BIGINT NOT NULL, 
	received_at BIGINT NOT NULL, 
	source TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	obj_name TEXT NOT NULL, 
	flow_name TEXT NOT NULL, 
	run_id TEXT NOT NULL, 
	old_type TEXT, 
	new_type TEXT NOT NULL, 
	payload TEXT NOT NULL, 
	matched BOOLEAN DEFAULT 1 NOT NULL, 
	PRIMARY KEY (seq), 
	UNIQUE (id)
);
INSERT INTO "transition" VALUES(2,'01a21eda9a6077db9d8a4df0121ea1e5',1795813972576,1795813972577,'local','task','it''s 0','','','Running','Failed','{"id":"01a21eda9a6077db9d8a4df0121ea1e5","source":"local","occurred_at":"2026-11-27T21:12:52.576605+00:00","obj":{"kind":"task","name":"it''s 0","run_name":"it''s 0","flow":{"name":""}},"old_state":{"type":"Running","timestamp":"2026-11-27T21:12:52.576441+00:00","final":null,"result":null},"new_state":{"type":"Failed","timestamp":"2026-11-27T21:12:52.576449+00:00","final":true,"result":null,"message":"broke"}}',1);
INSERT INTO "transition" VALUES(5,'01a21eda9a6a719dbc850f0db0485e3d',1795813972587,1795813972587,'local','task','it''s 1','','','Running','Failed','{"id":"01a21eda9a6a719dbc850f0db0485e3d","source":"local","occurred_at":"2026-11-27T21:12:52.587000+00:00","obj":{"kind":"task","name":"it''s 1","run_name":"it''s 1","flow":{"name":""}},"old_state":{"type":"Running","timestamp":"2026-11-27T21:12:52.586897+00:00","final":null,"result":null},"new_state":{"type":"Failed","timestamp":"2026-11-27T21:12:52.586903+00:00","final":true,"result":null,"message":"broke"}}',1);
INSERT INTO "transition" VALUES(8,'01a21eda9a737a06a0920e7c30f017db',1795813972595,1795813972596,'local','task','it''s 2','','','Running','Failed','{"id":"01a21eda9a737a06a0920e7c30f017db","source":"local","occurred_at":"2026-11-27T21:12:52.595901+00:00","obj":{"kind":"task","name":"it''s 2","run_name":"it''s 2","flow":{"name":""}},"old_state":{"type":"Running","timestamp":"2026-11-27T21:12:52.595805+00:00","final":null,"result":null},"new_state":{"type":"Failed","timestamp":"2026-11-27T21:12:52.595810+00:00","final":true,"result":null,"message":"broke"}}',1);
CREATE INDEX transition_unmatched ON transition (received_at) WHERE matched = false;
CREATE INDEX delivery_of_transition ON delivery (transition_seq);
CREATE INDEX delivery_of_channel ON delivery (channel, id);
CREATE INDEX delivery_of_handler ON delivery (handler, id);
CREATE INDEX delivery_claimed ON delivery (owner) WHERE status = 'claimed';
CREATE INDEX delivery_owed ON delivery (id) WHERE status IN ('pending', 'claimed');
CREATE INDEX delivery_due ON delivery (channel, due_at) WHERE status = 'pending';
CREATE INDEX delivery_ended ON delivery (updated_at) WHERE status IN ('delivered', 'suppressed', 'dead', 'cancelled');
CREATE INDEX delivery_dead ON delivery (id) WHERE status = 'dead';
CREATE INDEX delivery_give_up ON delivery (give_up_at) WHERE status = 'pending';
COMMIT;
