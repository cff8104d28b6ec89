-- Sends one event a request, each with a unique id. The request is built once; only the last twelve
-- digits of the id change, so that wrk uses little more processor time than with a constant request.
-- Arguments: site key, origin, time of the events, first 24 characters of the ids, and the mean
-- delay of a connection before each request in milliseconds (0: no delay).

local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(args)
  local user_agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36"
  local before = '{"siteKey":"' .. args[1] .. '","events":[{"id":"' .. args[4]
  local after = '","type":"shown","claimId":"0193c2f0-5e3a-7d4b-8f6e-2a1b3c4d5e6f","occurredAt":"'
    .. args[3] .. '","visitorId":"5f1c0a9e7b","page":"/products/red-shoes"}]}'
  head = "POST /v1/events HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: " .. user_agent
    .. "\r\nAccept: */*\r\nOrigin: " .. args[2] .. "\r\nContent-Type: text/plain;charset=UTF-8"
    .. "\r\nContent-Length: " .. #before + 12 + #after .. "\r\n\r\n" .. before
  tail = after
  count = number * 2 ^ 40
  local mean_delay = tonumber(args[5])
  if mean_delay > 0 then
    function delay() return math.random(0, math.floor(2 * mean_delay)) end
  end
end

function request()
  count = count + 1
  return head .. string.format("%012x", count) .. tail
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"seconds":%.3f,"refused":%d,"broken":%d,"p50":%.3f,"p99":%.3f}\n',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
