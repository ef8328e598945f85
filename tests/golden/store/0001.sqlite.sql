BEGIN TRANSACTION;
CREATE TABLE about (
	schema_version INTEGER NOT NULL, 
	store_id TEXT NOT NULL, 
	clock_offset BIGINT
);
INSERT INTO "about" VALUES(1,'5d97197c',NULL);
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
INSERT INTO "attempt" VALUES(3,1,1772442000000,'delivered','ok','',12);
INSERT INTO "attempt" VALUES(4,1,1772442000000,'permanent','http_400','it''s said: "no"',12);
CREATE TABLE counter (
	name TEXT NOT NULL, 
	count INTEGER NOT NULL, 
	PRIMARY KEY (name)
)
 WITHOUT ROWID

;
INSERT INTO "counter" VALUES('duplicates',1);
INSERT INTO "counter" VALUES('transitions',5);
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
INSERT INTO "delivery" VALUES(3,2,'load-failed','oncall','delivered','ok',1772442001000,1,0,'load','load failed','text','failure',0,1772442000000,1772442001000,1772528400000,86400000,NULL,NULL);
INSERT INTO "delivery" VALUES(4,2,'load-failed','mail','dead','http_400',1772442001000,1,0,'load','load failed','text','failure',0,1772442000000,1772442001000,1772528400000,86400000,NULL,NULL);
INSERT INTO "delivery" VALUES(5,2,'load-failed','pager','claimed','',1772442001000,0,0,'load','load failed','text','failure',0,1772442001000,1772442001000,1772528401000,86400000,1,4);
INSERT INTO "delivery" VALUES(7,6,'load-failed','oncall','pending','',1772442000000,0,0,'load','load failed','text','failure',0,1772442000000,1772442000000,1772528400000,86400000,NULL,NULL);
INSERT INTO "delivery" VALUES(9,8,'load-failed','oncall','suppressed','shadow',1772442000000,0,0,'load','load failed','text','failure',0,1772442000000,1772442000000,1772528400000,86400000,NULL,NULL);
INSERT INTO "delivery" VALUES(11,10,'load-failed','oncall','claimed','',1772442000000,0,0,'load','load failed','text','failure',0,1772442000000,1772442000000,1772528400000,86400000,1,NULL);
INSERT INTO "delivery" VALUES(15,14,'load-failed','mail','cancelled','cancelled',1772442000000,0,0,'load','漢字 🎉; -- ''x''','text','failure',0,1772442000000,1772442000000,1772528400000,86400000,NULL,NULL);
CREATE TABLE ledger (
	handler TEXT NOT NULL, 
	channel TEXT NOT NULL, 
	account TEXT NOT NULL, 
	count INTEGER NOT NULL, 
	PRIMARY KEY (handler, channel, account)
)
 WITHOUT ROWID

;
INSERT INTO "ledger" VALUES('load-failed','mail','accepted',2);
INSERT INTO "ledger" VALUES('load-failed','mail','cancelled',1);
INSERT INTO "ledger" VALUES('load-failed','mail','dead',1);
INSERT INTO "ledger" VALUES('load-failed','mail','owed',0);
INSERT INTO "ledger" VALUES('load-failed','oncall','accepted',4);
INSERT INTO "ledger" VALUES('load-failed','oncall','delivered',1);
INSERT INTO "ledger" VALUES('load-failed','oncall','owed',2);
INSERT INTO "ledger" VALUES('load-failed','oncall','suppressed',1);
INSERT INTO "ledger" VALUES('load-failed','pager','accepted',1);
INSERT INTO "ledger" VALUES('load-failed','pager','owed',1);
CREATE TABLE node (
	id INTEGER NOT NULL, 
	pid INTEGER NOT NULL, 
	started_at BIGINT NOT NULL, 
	heartbeat_at BIGINT NOT NULL, 
	beats INTEGER NOT NULL, 
	config_hash TEXT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "node" VALUES(1,31722,1795800459293,1795800459293,0,'');
CREATE TABLE sequence (
	last INTEGER NOT NULL
);
INSERT INTO "sequence" VALUES(15);
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
	PRIMARY KEY (seq), 
	UNIQUE (id)
);
INSERT INTO "transition" VALUES(2,'t-1',1772442000000,1772442000000,'local','task','load','etl','run-1','Running','Failed','{}');
INSERT INTO "transition" VALUES(6,'t-2',1772442000000,1772442000000,'local','task','load','etl','run-1','Running','Failed','{}');
INSERT INTO "transition" VALUES(8,'t-3',1772442000000,1772442000000,'local','task','load','etl','run-1','Running','Failed','{}');
INSERT INTO "transition" VALUES(10,'t-4',1772442000000,1772442000000,'local','task','load','etl','run-1','Running','Failed','{}');
INSERT INTO "transition" VALUES(14,'t-5',1772442000000,1772442000000,'local','task','load','etl','run-1','Running','Failed','{}');
CREATE INDEX delivery_owed ON delivery (id) WHERE status IN ('pending', 'claimed');
CREATE INDEX delivery_of_transition ON delivery (transition_seq);
CREATE INDEX delivery_of_channel ON delivery (channel, id);
CREATE INDEX delivery_due ON delivery (channel, due_at) WHERE status = 'pending';
CREATE INDEX delivery_claimed ON delivery (owner) WHERE status = 'claimed';
CREATE INDEX delivery_give_up ON delivery (give_up_at) WHERE status = 'pending';
CREATE INDEX delivery_of_handler ON delivery (handler, id);
CREATE INDEX delivery_dead ON delivery (id) WHERE status = 'dead';
COMMIT;
