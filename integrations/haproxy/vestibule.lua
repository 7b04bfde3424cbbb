-- Asks Vestibule about a request, with the HTTP client that HAProxy has built in (2.6 and later).
--
--   http-request lua.vestibule http://127.0.0.1:4181/verify/haproxy
--
-- 202 lets the request go on, with the identity headers of the answer; anything else is the answer to the client.

local TIMEOUT_MS = 3000

local function set(names)
  local members = {}
  for name in names:gmatch("%S+") do members[name] = true end
  return members
end

-- What belongs to one connection or one body, and what would make the answer a partial or an unchanged one.
local NOT_ASKED = set [[ connection keep-alive proxy-connection te trailer transfer-encoding upgrade content-length expect host
  accept-encoding range if-range if-match if-none-match if-modified-since if-unmodified-since ]]
local NOT_ANSWERED = set [[ connection keep-alive transfer-encoding content-length trailer upgrade ]]

-- Where a request says that it comes from or goes to: ours to say.
local PLACE = set [[ forwarded x-real-ip x-forwarded-for x-forwarded-host x-forwarded-proto x-forwarded-port x-forwarded-uri
  x-forwarded-method x-forwarded-prefix x-forwarded-server x-original-method x-original-url x-original-uri ]]

-- Who a request says that it is. Some applications read "_" and "." as "-", so every spelling counts.
local IDENTITY = set [[ remote-user remote-email remote-groups remote-name x-forwarded-user x-forwarded-email x-forwarded-groups
  x-forwarded-preferred-username x-forwarded-access-token x-forwarded-name ]]

local function folded(name)
  return (name:lower():gsub("[_.]", "-"))
end

local function is_identity(name)
  return IDENTITY[name] or name:find("^x%-pomerium%-") or name:find("^x%-auth%-request%-")
    or name:find("^x%-vestibule%-")
end

-- HAProxy's tables of headers count from 0.
local function each(values, use)
  local i = 0
  while values[i] do
    use(values[i])
    i = i + 1
  end
end

local function question(txn)
  local headers = {}
  for name, values in pairs(txn.http:req_get_headers()) do
    if not NOT_ASKED[name:lower()] and not PLACE[folded(name)] then
      local list = {}
      each(values, function(value) list[#list + 1] = value end)
      headers[name] = list
    end
  end
  headers["x-forwarded-method"] = { txn.sf:method() }
  headers["x-forwarded-proto"] = { txn.sf:ssl_fc() == 1 and "https" or "http" }
  headers["x-forwarded-host"] = { txn.sf:req_fhdr("host") }
  headers["x-forwarded-uri"] = { txn.sf:pathq() }
  headers["x-forwarded-for"] = { txn.sf:src() }
  return headers
end

local function let_on(txn, answer)
  for name in pairs(txn.http:req_get_headers()) do
    local plain = folded(name)
    if is_identity(plain) or PLACE[plain] then txn.http:req_del_header(name) end
  end
  for name, values in pairs(answer.headers) do
    if is_identity(name:lower()) and values[0] and values[0] ~= "" then
      txn.http:req_set_header(name, values[0])
    end
  end
end

local function pass_back(txn, answer)
  local reply = txn:reply { status = answer.status, reason = answer.reason }
  for name, values in pairs(answer.headers) do
    if not NOT_ANSWERED[name:lower()] then
      each(values, function(value) reply:add_header(name, value) end)
    end
  end
  if answer.body and #answer.body > 0 then reply:set_body(answer.body) end
  txn:done(reply)
end

local function unavailable(txn)
  local reply = txn:reply { status = 503, reason = "Service Unavailable" }
  reply:add_header("retry-after", "5")
  reply:add_header("cache-control", "no-store")
  reply:add_header("content-type", "text/plain")
  reply:set_body("The sign-in service does not answer. Please try again in a moment.\n")
  txn:done(reply)
end

core.register_action("vestibule", { "http-req" }, function(txn, url)
  local answer = core.httpclient():get { url = url, headers = question(txn), timeout = TIMEOUT_MS }
  local status = answer and answer.headers and answer.status or 0
  if status == 202 then
    let_on(txn, answer)
  elseif status >= 300 and status < 500 then
    pass_back(txn, answer)
  else
    unavailable(txn)
  end
end, 1)
