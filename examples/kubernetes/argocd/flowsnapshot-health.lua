-- The health of a FlowSnapshot, for Argo CD: resource.customizations.health.flowjob.dev_FlowSnapshot.

if obj.metadata.deletionTimestamp ~= nil then
  return { status = "Progressing", message = "Being deleted" }
end
if obj.status == nil or obj.status.phase == nil then
  return { status = "Progressing", message = "No operator has looked at it yet" }
end

local phase = obj.status.phase
if phase == "Completed" then
  return { status = "Healthy", message = obj.status.path or phase }
end
if phase == "Failed" or phase == "Abandoned" then
  return { status = "Degraded", message = phase .. ": " .. (obj.status.error or "see its conditions") }
end
return { status = "Progressing", message = phase }
