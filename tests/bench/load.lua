-- wrk: walk through pre-signed requests, each used once; the caller sees to it that they last.
-- SYNAP_BENCH_REQUESTS names a file of records: a line with the length, then that many bytes.
local requests, position, this_thread = {}, 0, nil

function setup(thread)
  thread:set("path", os.getenv("SYNAP_BENCH_REQUESTS"))
end

function init()
  local file = assert(io.open(path, "rb"))
  while true do
    local length = file:read("*l")
    if not length then break end
    requests[#requests + 1] = file:read(tonumber(length))
  end
  file:close()
end

function request()
  position = position + 1
  return requests[position] or requests[#requests]
end

function done(summary, latency, _)
  local failed = summary.errors
  io.write(string.format(
    '\nRESULT {"requests": %d, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f, ' ..
    '"refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, failed.status,
    failed.connect + failed.read + failed.write + failed.timeout))
end
