#!/usr/bin/perl
# Healthy when nginx answers 200 on its control socket within two seconds. Perl, because the image has it anyway.
use strict;
use warnings;
use IO::Socket::UNIX;

alarm 2;
my $socket = IO::Socket::UNIX->new( Peer => '/edge/run/control.sock' ) or die "no control socket: $!\n";
print {$socket} "GET /health HTTP/1.0\r\nHost: edge\r\n\r\n" or die "cannot ask: $!\n";
my $status = <$socket>;
exit( defined $status && $status =~ m{^HTTP/1\.\d 200 } ? 0 : 1 );
