-- Clients by number, in the order of their ids: shorter than an id wherever receipts refer to them.
CREATE TABLE numbered AS
SELECT client_id, CAST(row_number() OVER (ORDER BY client_id) AS INTEGER) AS client FROM clients;
