-- Closes a part of the site by what the notes say of the service "counter": they are there from the
-- beginning of a request, so that a hook can refuse it before anything else is done.

-- Open only while the primary is in use: then there is no such note.
function primary_only(r)
    if not r.notes["failover:counter"] then
        return apache2.DECLINED
    end
    r.err_headers_out["Retry-After"] = "5"
    return 503
end
