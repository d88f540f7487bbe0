"""The texts that count in a shared store, many keys in one round trip (see `windows.py` for the rule they follow)."""

from ostiary.db.hot import Statement

_TICK = "floor(extract(epoch FROM clock_timestamp()) * 60)::bigint"

COUNT = f"""
INSERT INTO request_counts AS c (key, hit_limit, window_seconds, slots, counts, served, admitted, tick)
SELECT a.key, a.hit_limit, a.window_seconds, ARRAY[m.tick / a.window_seconds], ARRAY[least(a.hits, a.hit_limit)],
    least(a.hits, a.hit_limit), least(a.hits, a.hit_limit), m.tick
FROM unnest($1::text[], $2::int[], $3::int[], $4::int[]) WITH ORDINALITY AS a (key, hits, hit_limit, window_seconds, n)
CROSS JOIN LATERAL (SELECT {_TICK} + 0 * a.n AS tick) AS m
ORDER BY a.n
ON CONFLICT (key) DO UPDATE SET (slots, counts, served, admitted, tick) = (
    SELECT
        CASE WHEN d.admitted = 0 OR d.newest >= d.slot THEN d.slots ELSE d.slots || d.slot END,
        CASE
            WHEN d.admitted = 0 THEN d.counts
            WHEN d.newest >= d.slot THEN d.counts[:cardinality(d.counts) - 1]
                || d.counts[cardinality(d.counts)] + d.admitted
            ELSE d.counts || d.admitted
        END,
        d.served + d.admitted,
        d.admitted,
        d.tick
    FROM (
        SELECT l.*, l.slots[cardinality(l.slots)] AS newest,
            greatest(0, least(excluded.admitted, c.hit_limit - l.served)) AS admitted
        FROM (
            SELECT m.tick, m.tick / c.window_seconds AS slot, coalesce(sum(u.hits), 0)::int AS served,
                coalesce(array_agg(u.slot ORDER BY u.slot) FILTER (WHERE u.slot IS NOT NULL), '{{}}') AS slots,
                coalesce(array_agg(u.hits ORDER BY u.slot) FILTER (WHERE u.slot IS NOT NULL), '{{}}') AS counts
            FROM (SELECT {_TICK} AS tick) AS m
            LEFT JOIN LATERAL unnest(c.slots, c.counts) AS u (slot, hits)
                ON u.slot > m.tick / c.window_seconds - 61
            GROUP BY m.tick
        ) AS l
    ) AS d
)
RETURNING key, admitted, served, slots[1], tick
"""
"""Keys, in order, with the hits, limit and seconds of each: PostgreSQL locks their rows in this order, and works the
new values out of the row as it is once it has the lock. A row holds what of the moment's call was admitted, since that
is all that RETURNING can see."""

CHECK = "SELECT count(*) FROM (SELECT 1 FROM request_counts LIMIT 1) AS one"

CLEAR_AWAY = f"""
DELETE FROM request_counts WHERE key IN (
    SELECT key FROM request_counts
    WHERE (slots[cardinality(slots)] + 61) * window_seconds <= {_TICK}
    LIMIT $1 FOR UPDATE SKIP LOCKED
)
RETURNING 1
"""

SEED = f"""
INSERT INTO request_counts AS c (key, hit_limit, window_seconds, slots, counts, served, admitted, tick)
SELECT a.key, a.hit_limit, a.window_seconds, array_agg((m.tick - a.age) / a.window_seconds ORDER BY a.age DESC),
    array_agg(a.hits ORDER BY a.age DESC), sum(a.hits), 0, m.tick
FROM unnest($1::text[], $2::int[], $3::int[], $4::bigint[], $5::int[]) AS a (key, hit_limit, window_seconds, age, hits)
CROSS JOIN (SELECT {_TICK} AS tick) AS m
GROUP BY a.key, a.hit_limit, a.window_seconds, m.tick
ON CONFLICT (key) DO UPDATE SET (slots, counts, served, admitted, tick) = (
    SELECT array_agg(u.slot ORDER BY u.slot), array_agg(u.hits ORDER BY u.slot), sum(u.hits), 0, excluded.tick
    FROM (
        SELECT * FROM unnest(excluded.slots, excluded.counts)
        UNION ALL SELECT * FROM unnest(c.slots, c.counts) WHERE $6
    ) AS u (slot, hits)
)
"""
"""Keys, each as often as it has slots, with limit and seconds, the age of a slot and what it holds: what a server that
was alone has counted, instead of what is there or besides."""

_LIVES = (
    "o.beat_at > clock_timestamp() - CASE WHEN o.is_alone THEN interval '800 milliseconds' ELSE interval '1 minute' END"
)
_OTHERS = f"""
(SELECT count(*) FROM counting_nodes AS o WHERE o.node <> n.node AND {_LIVES}),
(SELECT count(*) FROM counting_nodes AS o WHERE o.node <> n.node AND {_LIVES} AND o.is_alone)
"""
FORGET_DEAD_NODES = Statement(f"DELETE FROM counting_nodes AS o WHERE NOT ({_LIVES}) RETURNING o.node")
JOIN = Statement(
    "INSERT INTO counting_nodes AS n (node, is_alone, beat_at) "
    "VALUES (?1, NOT EXISTS (SELECT 1 FROM counting_nodes), clock_timestamp()) "
    f"ON CONFLICT (node) DO UPDATE SET is_alone = false RETURNING n.is_alone, {_OTHERS}"
)
"""How it stands: whether this server is alone, how many others there are, how many of those think that they are alone.
Serialisable, like CLAIM: of two that come at the same moment each must know of the other."""
CLAIM = Statement(
    "UPDATE counting_nodes AS n SET is_alone = NOT EXISTS (SELECT 1 FROM counting_nodes AS o WHERE o.node <> n.node) "
    f"WHERE n.node = ?1 RETURNING n.is_alone, {_OTHERS}"
)
LEAVE = Statement("DELETE FROM counting_nodes WHERE node = ?1 RETURNING node")
BEAT = (
    f"UPDATE counting_nodes AS n SET beat_at = clock_timestamp(), is_alone = n.is_alone AND $2 "
    f"WHERE n.node = $1 RETURNING n.is_alone, {_OTHERS}"
)

COUNT_IN_REDIS = """
local now = redis.call('TIME')
local tick = math.floor((now[1] * 1000000 + now[2]) * 60 / 1000000)
local answers = {}
for number, key in ipairs(KEYS) do
    local hits, limit, window = ARGV[3 * number - 2] + 0, ARGV[3 * number - 1] + 0, ARGV[3 * number] + 0
    local slot = math.floor(tick / window)
    local held = redis.call('HGETALL', key)
    local served, oldest, newest = 0, nil, slot
    for place = 1, #held, 2 do
        local held_slot = held[place] + 0
        if held_slot <= slot - 61 then
            redis.call('HDEL', key, held[place])
        else
            served = served + held[place + 1]
            oldest = math.min(oldest or held_slot, held_slot)
            newest = math.max(newest, held_slot)
        end
    end
    local admitted = math.max(0, math.min(hits, limit - served))
    if admitted > 0 then
        redis.call('HINCRBY', key, string.format('%d', newest), admitted)
        redis.call('EXPIRE', key, math.ceil(((newest + 61) * window - tick) / 60))
    end
    answers[number] = {admitted, served + admitted, oldest or newest, tick}
end
return answers
"""
"""Keys with the hits, limit and seconds of each: a hash of slots and counts for each key, which expires by itself."""
