-- ARGV: id, fence, message. The sharer is owed an explanation; those who waited try themselves.
local id = ARGV[1]
if not holds(id, ARGV[2]) then return {'void'} end
set(id, 'message', ARGV[3])
local tickets = free_waiters(id, requeue)
owe(id, 'failure')
append(append(tickets, {ticket(id)}), give_slot(id))
return {'ok', tickets}
