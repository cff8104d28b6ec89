-- Personal data: written as plain text, stored encrypted, read through functions that check access.
--
-- Each transaction sets the wrapping key (setting proofgraph.pii_key, base64); the database never
-- stores it. Every account has a data key: 32 random bytes, encrypted with the wrapping key. Random
-- keys need no stretching, so s2k-mode 1 (salted) replaces the slow iterated one.

CREATE FUNCTION current_accounts() RETURNS uuid[] LANGUAGE sql STABLE
    RETURN string_to_array(current_setting('proofgraph.accounts', true), ',')::uuid[];

CREATE FUNCTION current_user_id() RETURNS uuid LANGUAGE sql STABLE
    RETURN nullif(current_setting('proofgraph.user', true), '')::uuid;

CREATE FUNCTION memberships_of(who uuid) RETURNS TABLE (account_id uuid, role text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT m.account_id, m.role FROM members m WHERE m.user_id = who ORDER BY m.account_id;
END;

CREATE FUNCTION pii_key() RETURNS text LANGUAGE plpgsql STABLE SET search_path = public AS $$
DECLARE
    key text := current_setting('proofgraph.pii_key', true);
BEGIN
    IF key IS NULL OR key = '' THEN
        RAISE insufficient_privilege USING MESSAGE = 'this transaction has no key to personal data';
    END IF;
    RETURN key;
END $$;

CREATE FUNCTION email_blind_index(address text) RETURNS bytea LANGUAGE sql STABLE
SET search_path = public
RETURN hmac(convert_to(lower(address), 'UTF8'),
            hmac('email-index', pii_key(), 'sha256'), 'sha256');

CREATE FUNCTION create_data_key(new_id uuid, for_account uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    IF NOT for_account = ANY (current_accounts()) THEN
        RAISE insufficient_privilege USING MESSAGE = 'not your account';
    END IF;
    INSERT INTO encryption_keys (id, account_id, wrapped_key)
    VALUES (new_id, for_account,
            pgp_sym_encrypt_bytea(gen_random_bytes(32), pii_key(), 's2k-mode=1, cipher-algo=aes256'));
END $$;

CREATE FUNCTION data_key(key_id uuid) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public
RETURN (SELECT encode(pgp_sym_decrypt_bytea(wrapped_key, pii_key()), 'base64')
        FROM encryption_keys WHERE id = key_id);

CREATE FUNCTION users_seal() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    IF NEW.email IS NOT NULL THEN
        NEW.email_encrypted := pgp_sym_encrypt(
            NEW.email, data_key(NEW.email_encryption_key_id), 's2k-mode=1, cipher-algo=aes256');
        NEW.email_index := email_blind_index(NEW.email);
        NEW.email := NULL;
    END IF;
    IF NEW.full_name IS NOT NULL THEN
        NEW.full_name_encryption_key_id :=
            coalesce(NEW.full_name_encryption_key_id, NEW.email_encryption_key_id);
        NEW.full_name_encrypted := pgp_sym_encrypt(
            NEW.full_name, data_key(NEW.full_name_encryption_key_id),
            's2k-mode=1, cipher-algo=aes256');
        NEW.full_name := NULL;
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER users_seal BEFORE INSERT OR UPDATE OF email, full_name ON users
    FOR EACH ROW EXECUTE FUNCTION users_seal();

-- A user can be read by themselves and by members of their accounts.
CREATE FUNCTION may_read_user(who uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public
RETURN who = current_user_id() OR EXISTS (
    SELECT FROM members WHERE user_id = who AND account_id = ANY (current_accounts()));

CREATE FUNCTION get_user_email(who uuid) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public
RETURN (SELECT pgp_sym_decrypt(email_encrypted, data_key(email_encryption_key_id))
        FROM users WHERE id = who AND may_read_user(who));

CREATE FUNCTION get_user_full_name(who uuid) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public
RETURN (SELECT pgp_sym_decrypt(full_name_encrypted, data_key(full_name_encryption_key_id))
        FROM users WHERE id = who AND may_read_user(who));

-- Log-in happens before there is a viewer: it may read one address, and needs the key for that.
CREATE FUNCTION find_login(
    address text, OUT user_id uuid, OUT hashed_password text, OUT account_ids uuid[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public
BEGIN ATOMIC
    SELECT u.id, u.hashed_password, ARRAY (SELECT account_id FROM memberships_of(u.id))
    FROM users u WHERE u.email_index = email_blind_index(address);
END;

REVOKE EXECUTE ON FUNCTION memberships_of, create_data_key, data_key, email_blind_index, pii_key,
    users_seal, may_read_user, get_user_email, get_user_full_name, find_login FROM PUBLIC;
GRANT EXECUTE ON FUNCTION create_data_key, get_user_email, get_user_full_name, find_login,
    may_read_user TO proofgraph_app;
GRANT EXECUTE ON FUNCTION memberships_of TO proofgraph_worker;
