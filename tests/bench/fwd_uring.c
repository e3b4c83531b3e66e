// fwd_uring: what fwd_epoll does, on io_uring: one multishot receive a socket into a ring of provided buffers, sends queued with the
// next wait, so that a round is one system call. It answers whether the media workers would gain by it.
//
//   fwd_uring N BASE RTP [address]   for N calls, as fwd_epoll; `address` asks the kernel for each datagram's source as well
//                                    (recvmsg), as a relay needs that takes media from behind NAT
//
// Build: cc -O2 -o fwd_uring fwd_uring.c -luring
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <liburing.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#define BUFFERS 4096
#define SIZE 2048
#define GROUP 1
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
static struct io_uring ring;
static struct io_uring_buf_ring *buffers;
static char *memory;
static int with_address;
static struct msghdr name = {.msg_namelen = sizeof(struct sockaddr_in)};
static struct io_uring_sqe *sqe(void) {
    struct io_uring_sqe *q;
    while (!(q = io_uring_get_sqe(&ring)))
        io_uring_submit(&ring);
    return q;
}
static void listen_to(struct s *x) {
    struct io_uring_sqe *q = sqe();
    if (with_address)
        io_uring_prep_recvmsg_multishot(q, x->fd, &name, 0);
    else
        io_uring_prep_recv_multishot(q, x->fd, NULL, 0, 0);
    q->flags |= IOSQE_BUFFER_SELECT;
    q->buf_group = GROUP;
    io_uring_sqe_set_data64(q, (uintptr_t)x);
}
static void give_back(int id) {
    io_uring_buf_ring_add(buffers, memory + (size_t)id * SIZE, SIZE, id, io_uring_buf_ring_mask(BUFFERS), 0);
    io_uring_buf_ring_advance(buffers, 1);
}
int main(int c, char **v) {
    if (c < 4) {
        fprintf(stderr, "fwd_uring N BASE RTP [address]\n");
        return 2;
    }
    int n = atoi(v[1]), base = atoi(v[2]), rtp = atoi(v[3]);
    with_address = c > 4;
    struct io_uring_params p = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
                                .cq_entries = 8192};
    int error = io_uring_queue_init_params(4096, &ring, &p);
    if (error) {
        fprintf(stderr, "io_uring: %s\n", strerror(-error));
        return 3;
    }
    if (posix_memalign((void **)&buffers, 4096, BUFFERS * sizeof(struct io_uring_buf)) ||
        posix_memalign((void **)&memory, 4096, (size_t)BUFFERS * SIZE))
        return 3;
    struct io_uring_buf_reg reg = {.ring_addr = (uintptr_t)buffers, .ring_entries = BUFFERS, .bgid = GROUP};
    if (io_uring_register_buf_ring(&ring, &reg, 0)) {
        perror("buffers");
        return 3;
    }
    io_uring_buf_ring_init(buffers);
    for (int i = 0; i < BUFFERS; i++)
        give_back(i);
    struct s *S = calloc(2 * n, sizeof *S);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < 2; k++) {
            struct s *x = &S[2 * i + k];
            x->fd = mk(base + 4 * i + 2 * k);
            x->o = &S[2 * i + 1 - k];
            x->peer.sin_family = AF_INET;
            x->peer.sin_port = htons(rtp + 2 * i);
            inet_pton(AF_INET, k ? "127.0.0.3" : "127.0.0.2", &x->peer.sin_addr);
            listen_to(x);
        }
    for (;;) {
        io_uring_submit_and_wait(&ring, 1);
        struct io_uring_cqe *e;
        unsigned head, seen = 0;
        io_uring_for_each_cqe(&ring, head, e) {
            seen++;
            uint64_t data = io_uring_cqe_get_data64(e);
            if (data & 1) { // a send is done: its number tells the buffer
                give_back(data >> 1);
                continue;
            }
            struct s *x = (void *)(uintptr_t)data;
            if (e->res > 0 && (e->flags & IORING_CQE_F_BUFFER)) {
                int id = e->flags >> IORING_CQE_BUFFER_SHIFT;
                char *at = memory + (size_t)id * SIZE;
                int len = e->res;
                if (with_address) {
                    struct io_uring_recvmsg_out *o = io_uring_recvmsg_validate(at, e->res, &name);
                    if (!o) {
                        give_back(id);
                        continue;
                    }
                    len = io_uring_recvmsg_payload_length(o, e->res, &name);
                    at = io_uring_recvmsg_payload(o, &name);
                }
                struct io_uring_sqe *q = sqe();
                io_uring_prep_send(q, x->o->fd, at, len, MSG_DONTWAIT);
                io_uring_prep_send_set_addr(q, (void *)&x->o->peer, sizeof x->o->peer);
                io_uring_sqe_set_data64(q, (uint64_t)id << 1 | 1);
            }
            if (!(e->flags & IORING_CQE_F_MORE))
                listen_to(x);
        }
        io_uring_cq_advance(&ring, seen);
    }
}
