from django.urls import path

from . import views

urlpatterns = [
    path("", views.front),
    path("orders", views.place_order),
    path("orders/<int:number>", views.show_order),
]
