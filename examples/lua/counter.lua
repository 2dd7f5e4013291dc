-- Counts in the Redis that the environment names, over a connection that this thread keeps.

local socket = require "socket"

local SECONDS = 2    -- that a hung Redis may take

-- The connection, and the epoch that it was made in: nil while all was well, else a number that
-- rises with each change. At another epoch another server may be meant, even under the same name.
local kept, kept_epoch

local function drop()
    if kept then
        kept:close()
    end
    kept = nil
end

local function connection(r)
    local epoch = r.subprocess_env["FAILOVER_COUNTER_EPOCH"]
    if epoch ~= kept_epoch then
        drop()
    end
    if kept then
        return kept
    end
    local link = socket.tcp()
    link:settimeout(SECONDS)
    local env = r.subprocess_env
    local connected, err = link:connect(env["COUNTER_HOST"], tonumber(env["COUNTER_PORT"]))
    if not connected then
        link:close()
        return nil, err
    end
    kept, kept_epoch = link, epoch
    return link
end

-- One command and the number that is Redis's answer.
local function ask(r, command)
    local link, err = connection(r)
    local line
    if link then
        _, err = link:send(command .. "\r\n")
    end
    if not err then
        line, err = link:receive("*l")
    end
    local number = line and line:match("^:(%d+)$")
    if not number then
        drop()
    end
    return number, err or line
end

-- The next number of a counter. A connection that was kept may have died since, which says nothing
-- of the server: then a new one is asked.
local function next_number(r, name)
    local was_kept = kept ~= nil
    local number, err = ask(r, "INCR " .. name)
    if not number and was_kept then
        number, err = ask(r, "INCR " .. name)
    end
    if not number then
        -- To the error log, where mod_failover hears it.
        r:err("counter: no answer from " .. r.subprocess_env["COUNTER_HOST"] .. ":"
            .. r.subprocess_env["COUNTER_PORT"] .. ": " .. tostring(err))
    end
    return number
end

local function sorry(r, words)
    r.status = 503
    r.err_headers_out["Retry-After"] = "2"
    r:puts(words, "\n")
    return apache2.OK
end

local function begin(r)
    r.content_type = "text/plain"
    r.headers_out["Cache-Control"] = "no-store"
end

function visits(r)
    begin(r)
    local state, advice = r.notes["failover:counter"], r.notes["counter-advice"]
    if state == "down" then
        -- And nobody waits for a connection that must fail.
        r:puts("nobody counts at the moment\n")
        return apache2.OK
    end
    local number = next_number(r, "visits")
    if not number then
        return sorry(r, "Something broke. Please try again.")
    end
    r:puts("visit ", number)
    if state then
        r:puts(", counted in ", r.notes["failover:counter:endpoint"], ": ", advice)
    end
    r:puts("\n")
    return apache2.OK
end

function tickets(r)
    begin(r)
    local number = next_number(r, "tickets")
    if not number then
        return sorry(r, "Something broke. Please try again.")
    end
    r:puts("ticket ", number, "\n")
    return apache2.OK
end
