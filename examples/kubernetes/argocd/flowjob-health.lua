-- The health of a FlowJob, for Argo CD: resource.customizations.health.flowjob.dev_FlowJob.
-- Argo CD gives scripts the base and table libraries only: no string functions here.

local function health(status, message)
  return { status = status, message = message }
end

local function condition(name)
  for _, found in ipairs(obj.status.conditions or {}) do
    if found.type == name then
      return found
    end
  end
  return { status = "Unknown", reason = "", message = "" }
end

local function holds(name)
  return condition(name).status == "True"
end

-- The sentence for people, else the condition's own, else its reason.
local function why(name)
  local found = condition(name)
  for _, text in ipairs({ obj.status.diagnosis or "", found.message or "", found.reason or "" }) do
    if text ~= "" then
      return text
    end
  end
  return name
end

if obj.metadata.deletionTimestamp ~= nil then
  return health("Progressing", "Being deleted: " .. ((obj.status or {}).diagnosis or "by its deletionPolicy"))
end
if obj.status == nil or obj.status.observedGeneration == nil then
  return health("Progressing", "No operator has looked at it yet")
end
if obj.status.observedGeneration < (obj.metadata.generation or 0) then
  return health("Progressing", "The operator has not looked at the newest spec yet")
end

local phase = obj.status.phase or "Pending"
if condition("Stalled").reason == "Paused" and holds("Stalled") then
  return health("Suspended", "The annotation flowjob.dev/pause keeps the operator off")
end
if holds("Degraded") or phase == "Failed" then
  return health("Degraded", why("Degraded"))
end
-- What runs is well, and yet it is not what was asked for: nothing will change until the spec does.
if holds("Stalled") then
  return health("Degraded", phase .. ", but not as asked: " .. why("Stalled"))
end
if holds("Reconciling") then
  return health("Progressing", phase .. ": " .. why("Reconciling"))
end
if phase == "Suspended" then
  return health("Suspended", "Stopped with its state kept")
end
if holds("Ready") then
  return health("Healthy", phase)
end
return health("Progressing", phase .. ": " .. why("Ready"))
