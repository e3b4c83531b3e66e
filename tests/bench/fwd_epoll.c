// fwd_epoll: the floor that relayed calls are measured against. One thread, epoll, recvmmsg/sendmmsg, no SIP, no RTP knowledge.
//
//   fwd_epoll N BASE RTP [connect]   for N calls: BASE+4i (caller's side) and BASE+4i+2 (callee's) on 127.0.0.1;
//                                    the caller is 127.0.0.2:RTP+2i, the callee 127.0.0.3:RTP+2i
//
// Build: cc -O2 -o fwd_epoll fwd_epoll.c
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
struct s {
    int fd;
    struct s *o;
    struct sockaddr_in peer;
};
static int mk(int p) {
    int f = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(p)};
    inet_pton(AF_INET, "127.0.0.1", &a.sin_addr);
    if (bind(f, (void *)&a, sizeof a)) {
        perror("bind");
        exit(1);
    }
    return f;
}
int main(int c, char **v) {
    if (c < 4) {
        fprintf(stderr, "fwd_epoll N BASE RTP [connect]\n");
        return 2;
    }
    int n = atoi(v[1]), base = atoi(v[2]), rtp = atoi(v[3]);
    int conn = c > 4;
    struct s *S = calloc(2 * n, sizeof *S);
    int ep = epoll_create1(0);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < 2; k++) {
            struct s *x = &S[2 * i + k];
            x->fd = mk(base + 4 * i + 2 * k);
            x->o = &S[2 * i + 1 - k];
            x->peer.sin_family = AF_INET;
            x->peer.sin_port = htons(rtp + 2 * i);
            inet_pton(AF_INET, k ? "127.0.0.3" : "127.0.0.2", &x->peer.sin_addr);
            if (conn)
                connect(x->fd, (void *)&x->peer, sizeof x->peer);
            struct epoll_event e = {.events = EPOLLIN, .data.ptr = x};
            epoll_ctl(ep, EPOLL_CTL_ADD, x->fd, &e);
        }
    static char buf[32][2048];
    struct mmsghdr m[32];
    struct iovec iv[32];
    struct epoll_event ev[256];
    for (;;) {
        int k = epoll_wait(ep, ev, 256, -1);
        for (int e = 0; e < k; e++) {
            struct s *x = ev[e].data.ptr;
            for (int i = 0; i < 32; i++) {
                memset(&m[i], 0, sizeof m[i]);
                iv[i].iov_base = buf[i];
                iv[i].iov_len = 2048;
                m[i].msg_hdr.msg_iov = &iv[i];
                m[i].msg_hdr.msg_iovlen = 1;
            }
            int r = recvmmsg(x->fd, m, 32, 0, 0);
            if (r <= 0)
                continue;
            for (int i = 0; i < r; i++) {
                iv[i].iov_len = m[i].msg_len;
                if (!conn) {
                    m[i].msg_hdr.msg_name = &x->o->peer;
                    m[i].msg_hdr.msg_namelen = sizeof x->o->peer;
                }
            }
            sendmmsg(x->o->fd, m, r, 0);
        }
    }
}
