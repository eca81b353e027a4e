# A service for tests: answers HTTP on port 8000 and says which release it is. What it does wrong comes from variables.
# On SIGTERM it ends the request that it has begun and takes no further one, as a good service does.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
$| = 1;
my $stopping = 0;
$SIG{TERM} = sub { $stopping = 1 };
$SIG{PIPE} = 'IGNORE';
my $server = IO::Socket::INET->new(LocalPort => 8000, Listen => 128, ReuseAddr => 1) or die "no port: $!";
my $select = IO::Select->new($server);
my $status = $ENV{SICK} ? '503 Sick' : '200 OK';
print "release $ENV{APPLIANCE_RELEASE} on $ENV{APPLIANCE_COLOUR}\n";
until ($stopping) {
  next unless $select->can_read(0.1);
  my $client = $server->accept or next;
  while (my $header = <$client>) { last if $header =~ /^\r?\n$/; }
  print $client "HTTP/1.1 $status\r\nX-Appliance-Release: $ENV{APPLIANCE_RELEASE}\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
  close $client;
}
