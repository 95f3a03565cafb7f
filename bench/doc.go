// Bench measures the engine side by side with Debian's dockerd 20.10 and with
// bare runc, in one run, and prints ratios: absolute times say more about the
// machine than about the engine.
//
// All contenders take turns within each round (A B C A B C …), so that whatever
// else the machine does hits them alike. Medians are compared; the 90th
// percentile is shown beside. Each program is measured through its own client,
// as a user meets it; the same docker 28 client in front of both is shown too. "bench net" compares networks, "bench pull" pulls from a registry.
package main
