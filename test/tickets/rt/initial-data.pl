# For rt-setup-database --action insert: a queue with the fields Ringmaster needs, the user it works as, with just the rights it
# needs, and people. “Elsewhere” is a field that is applied to no queue.
@Queues = ({ Name => 'Patching', Description => 'Changes' }, { Name => 'Bare', Description => 'Without the fields' });
@CustomFields = (
    { Name => 'RingmasterKey', Type => 'FreeformSingle', LookupType => 'RT::Queue-RT::Ticket', Queue => 'Patching' },
    { Name => 'PlanDigest', Type => 'FreeformSingle', LookupType => 'RT::Queue-RT::Ticket', Queue => 'Patching' },
);
@Users = (
    map +{ Name => $_, EmailAddress => "$_\@rt.test", Privileged => 1, Password => "$_-password" }, qw(ringmaster alice bob mallory)
);
@ACL = (
    (map { my $queue = $_; map +{ Queue => $queue, UserId => 'ringmaster', Right => $_ },
        qw(SeeQueue ShowTicket ShowTicketComments CreateTicket ModifyTicket CommentOnTicket ReplyToTicket SeeCustomField ModifyCustomField
           SetInitialCustomField) } qw(Patching Bare)),
    (map { my $user = $_; map +{ Queue => 'Patching', UserId => $user, Right => $_ },
        qw(SeeQueue ShowTicket ShowTicketComments CreateTicket ModifyTicket CommentOnTicket ReplyToTicket SeeCustomField ModifyCustomField
           SetInitialCustomField) } qw(alice bob mallory)),
);
1;
