# A service for tests: answers HTTP on port 8000 and says which release it is. What it does wrong comes from variables.
use strict;
use warnings;
use IO::Socket::INET;
$| = 1;
$SIG{TERM} = $ENV{STUBBORN} ? 'IGNORE' : sub { exit 0 };
print "starting release $ENV{APPLIANCE_RELEASE} on $ENV{APPLIANCE_COLOUR}\n";
if ($ENV{CRASH}) { print "cannot go on: $ENV{CRASH}\n"; exit 3; }
sleep($ENV{BOOT_SECONDS} || 0);
my $server = IO::Socket::INET->new(LocalPort => 8000, Listen => 64, ReuseAddr => 1) or die "no port: $!";
my $release = $ENV{CLAIMS_RELEASE} || $ENV{APPLIANCE_RELEASE};
while (my $client = $server->accept) {
  my $line = <$client> // '';
  while (my $header = <$client>) { last if $header =~ /^\r?\n$/; }
  my $body = "ok\n";
  $body = do { local (@ARGV, $/) = "/run/secrets/key"; <> } if $line =~ m{ /secret };
  my $status = $ENV{SICK} ? '503 Sick' : '200 OK';
  print $client "HTTP/1.1 $status\r\nX-Appliance-Release: $release\r\nContent-Length: " . length($body) . "\r\nConnection: close\r\n\r\n$body";
  close $client;
}
